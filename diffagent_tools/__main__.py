"""`python -m diffagent_tools` is `diffagent`."""

from diffagent_tools.cli.command import main

if __name__ == "__main__":
    main()
