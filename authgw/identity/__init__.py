"""Users and trusted backends: their files, passwords and second factors."""
