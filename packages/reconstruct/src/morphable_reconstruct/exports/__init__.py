"""Files written from a scene."""
