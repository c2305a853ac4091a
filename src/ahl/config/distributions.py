"""Heterogeneous anomaly distributions: section 2 of the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ahl.config._checks import require

AnomalyOverlap = Literal["support_in_query", "disjoint", "query_in_support", "both"]


@dataclass(frozen=True, kw_only=True)
class DistributionConfig:
    """Heterogeneous anomaly distribution generation (section 2 of the method).

    Attributes:
        clusters: C of the k-means over the normals; C * (C - 1) episodes come from its pairs.
        smallest_cluster: clusters with fewer normals than this are dropped.
        virtual_seen_fraction: share of the labelled anomalies that a support set sees.
        anomaly_overlap: which anomalies support and query share (the paper's table 10).
        pseudo: whether pseudo anomalies are made at all.
        twin_fraction: share of the normals that get a pseudo twin, for each generator.
    """

    clusters: int = 3
    smallest_cluster: int = 3
    virtual_seen_fraction: float = 0.5
    anomaly_overlap: AnomalyOverlap = "support_in_query"
    pseudo: bool = True
    twin_fraction: float = 0.5

    def __post_init__(self) -> None:
        require(1 <= self.clusters <= 50, "clusters", self.clusters, "from 1 to 50")
        require(self.smallest_cluster >= 1, "smallest_cluster", self.smallest_cluster, ">= 1")
        require(
            0.0 < self.virtual_seen_fraction < 1.0,
            "virtual_seen_fraction",
            self.virtual_seen_fraction,
            "between 0 and 1",
        )
        require(
            self.anomaly_overlap in get_args(AnomalyOverlap),
            "anomaly_overlap",
            self.anomaly_overlap,
            f"one of {', '.join(get_args(AnomalyOverlap))}",
        )
        require(0.0 < self.twin_fraction <= 1.0, "twin_fraction", self.twin_fraction, "in (0, 1]")
