"""The same model behind what a user would pick instead of Seqrank, each written the way its own guide shows."""
