"""The commands of `foedus-agent`, one module per subject; `agent.cli` puts them together."""
