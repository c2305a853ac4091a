"""How the embedded backbone is made: trained from nothing on drawn images alone."""
