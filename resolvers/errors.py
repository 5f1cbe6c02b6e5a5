"""What can break while deriving or deciding. A "no" or a doubt is a value, never one of these."""


class DerivationError(Exception):
    """Evidence contradicts itself in a way that no claim state covers."""


class RulePackError(ValueError):
    """A rule pack that may not be used: the message names the rule and what is wrong with it."""
