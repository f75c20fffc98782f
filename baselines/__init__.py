"""Workloads, one file or small package each; found through entry points, importing no other one."""
