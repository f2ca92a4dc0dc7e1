"""The daemon in a simulated world on virtual time: does it cry wolf, does it miss anything?"""
