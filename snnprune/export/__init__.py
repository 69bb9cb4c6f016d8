"""Hand a sparse network to other tools. Every export is read back and compared."""

from .csr import load_csr, restore_csr, save_csr

__all__ = ["load_csr", "restore_csr", "save_csr"]
