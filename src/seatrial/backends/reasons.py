"""What a runtime's own error says to a user: its reason, without the C++ around it. Not for: what to do about it."""

from __future__ import annotations

import re


def first_line(error: Exception) -> str:
    """ONNX Runtime's reason, without terminal colours and the C++ places that stand in its middle."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    # 'CUDA failure 35: <words> ; GPU=0 ; hostname=… ; file=…', behind two C++ signatures.
    if failed := re.search(r"\b(?:CUDA|CUDNN|CUBLAS|CURAND|CUFFT) failure \d+: .*?(?= ; |$)", text, re.M):
        return failed[0][:400]
    text = re.sub(r"/\S+\.(?:h|cc|cpp):\d+ .*?\) ?(?:const )?(?:\[with .*?\] )?", "", text)
    return text.splitlines()[0][:400] if text else type(error).__name__


def last_line(error: Exception) -> str:
    """OpenVINO's messages carry C++ file names first and the reason last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and ".cpp:" not in line]
    return (lines[-1] if lines else type(error).__name__)[:300]
