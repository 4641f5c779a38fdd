"""The checks of `authgw doctor`."""
