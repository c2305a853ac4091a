"""Heterogeneous anomaly distributions: AHL, section 3.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ahl.config._checks import require

AnomalyOverlap = Literal["support_in_query", "disjoint", "query_in_support", "both"]
Grouping = Literal["k-means", "random"]


@dataclass(frozen=True, kw_only=True)
class DistributionConfig:
    """Heterogeneous anomaly distribution generation (AHL, section 3.2).

    Attributes:
        grouping: how the normals are grouped: by k-means, or at random (the ablation RamHADG).
        clusters: C, the number of groups; C * (C - 1) episodes come from their ordered pairs.
        smallest_cluster: clusters with fewer normals than this are dropped.
        virtual_seen_fraction: share of the labelled anomalies that a support set sees.
        anomaly_overlap: which anomalies support and query share (the paper's table 10).
        pseudo: whether pseudo anomalies are made at all.
        twin_fraction: share of the normals that get a pseudo twin, for each generator.
        episodes: T, if fewer than all C * (C - 1) + 1; the one over all normals stays, of the
            others a random choice; 0 takes all.
    """

    grouping: Grouping = "k-means"
    clusters: int = 3
    smallest_cluster: int = 3
    virtual_seen_fraction: float = 0.5
    anomaly_overlap: AnomalyOverlap = "support_in_query"
    pseudo: bool = True
    twin_fraction: float = 0.5
    episodes: int = 0

    def __post_init__(self) -> None:
        require(self.grouping in get_args(Grouping), "grouping", self.grouping, "k-means or random")
        require(self.episodes >= 0, "episodes", self.episodes, "0 or positive")
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
