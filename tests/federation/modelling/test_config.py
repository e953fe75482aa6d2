from __future__ import annotations

import json
import subprocess
import sys

import pytest
from peft import LoraConfig, PeftConfig

import federation.modelling
from federation.modelling import adapter_config
from tests.federation.modelling.worlds import classification, continuation


def test_importing_the_package_and_its_messages_loads_no_torch():
    program = (
        "import sys; from federation.modelling import Examples, adapter_config; "
        "sys.exit(bool({'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_package_has_what_it_names_and_nothing_else():
    for name in federation.modelling.__all__:
        assert callable(getattr(federation.modelling, name))
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        federation.modelling.distil  # noqa: B018


@pytest.mark.parametrize(
    ("plan", "task_type"),
    [
        (classification("mean"), "TOKEN_CLS"),
        (classification("model"), "SEQ_CLS"),
        (continuation(), "CAUSAL_LM"),
    ],
)
def test_peft_reads_the_configuration_as_its_own(plan, task_type, tmp_path):
    written = adapter_config(plan, base_repo="base/tiny")
    (tmp_path / "adapter_config.json").write_text(json.dumps(written))
    read = PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(read, LoraConfig)
    assert read.task_type == task_type
    assert read.base_model_name_or_path == "base/tiny"
    assert set(read.target_modules) == set(plan.adapter.targets)
    assert set(written) <= set(read.to_dict())


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_the_scale_is_the_plan_s_at_every_rank(rank):
    config = adapter_config(classification(), base_repo="b", rank=rank)
    assert config["r"] == rank
    assert config["lora_alpha"] / config["r"] == classification().adapter.scale
