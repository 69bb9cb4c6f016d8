"""Export of sparse networks to other tools. Every export is read back and compared with the network."""

from .csr import load_csr, restore_csr, save_csr

__all__ = ["load_csr", "restore_csr", "save_csr"]
