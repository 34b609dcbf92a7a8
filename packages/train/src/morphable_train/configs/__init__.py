"""What runs are told to do: frozen, keyword-only, checked where they are made; presets."""
