"""Where the build places the compiled modules: `cpu`, and one folder per ISA level and dtype."""
