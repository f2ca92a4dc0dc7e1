"""The rules of recond as pure functions of values.

Owns what a drift is, when it is believed, why it happened and what is done about it.
May not do I/O, read a clock, draw random numbers, log, or know any other package of recond.
"""
