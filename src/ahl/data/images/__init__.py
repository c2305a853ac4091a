"""Images: any file or array becomes pixels; labelled images on their way to features."""
