"""What each rival's process is given in its environment, where that makes it faster. results.md has what it gains."""

ENVIRONMENTS = {
    # glibc keeps what is freed. PyTorch frees and asks for its activations in each step, and new pages cost it a tenth of the time.
    "PyTorch": {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)},
    # Huge pages, as our own buffers have. PyTorch is slower with its own (THP_MEM_ALLOC_ENABLE), OpenVINO as fast.
    "ONNX Runtime": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
}
