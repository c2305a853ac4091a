"""What our HTML pages share: the style, the drawings, and how a template becomes a page."""
