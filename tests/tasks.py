"""A learning task out of feature tables, pseudo anomalies made as they are planned."""

from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.pipeline.task import draw_episodes, prepare


def prepare_task(detector_type, normals, anomalies, make_pseudo, *, generators, config, seed):
    episodes = draw_episodes(normals, len(anomalies), generators, config.distributions, seed=seed)
    plan = plan_pseudo_anomalies(episodes)
    pseudo = make_pseudo(plan) if plan else None
    return prepare(detector_type, normals, anomalies, pseudo, episodes, config, seed=seed)
