"""The style, the drawings and the templating that our HTML pages share."""
