"""What every base detector promises of its scores: which way they count, how they are pooled."""

import torch

from ahl.heads import DETECTORS
from heads.contract import draw_maps, draw_parameters, draw_statistics


def test_evidence_is_the_heads_scores_turned_as_the_image_score_counts_them(detector):
    scores = {name: torch.tensor([0.1, 0.5, 1.0]) for name in detector.head_names}
    evidence = detector.evidence(scores)
    assert tuple(evidence) == detector.head_names
    for name in detector.head_names:
        assert torch.equal(evidence[name].abs(), scores[name].abs())
        more = {**scores, name: scores[name] + 0.01 * evidence[name].sign()}
        assert (detector.combine(more) > detector.combine(scores)).all(), name


def test_position_scores_are_what_evidence_is_pooled_from(detector):
    """And every head of ours that people may meet says what it means."""
    arguments = (
        draw_parameters(detector),
        draw_statistics(detector),
        draw_maps(detector.layout, 5),
        draw_maps(detector.layout, seed=1),
    )
    found = detector.position_scores(*arguments)
    assert len(found) == len(detector.layout.scales)
    assert all(scale.keys() == found[0].keys() <= set(detector.head_names) for scale in found)
    heads, _ = detector.forward(*arguments, training=False)
    evidence = detector.evidence(heads)
    for name in found[0]:
        pooled = []
        for scale, (_, height, width) in zip(found, detector.layout.scales, strict=True):
            assert scale[name].shape == (5, height, width)
            highest = scale[name].flatten(1).sort(dim=1, descending=True).values
            count = max(1, int(detector.config.top_fraction * height * width))
            pooled.append(highest[:, :count].mean(dim=1))
        torch.testing.assert_close(sum(pooled) / len(pooled), evidence[name])
    if type(detector) in DETECTORS:
        assert found[0]
        assert tuple(detector.meanings) == detector.head_names


def test_expected_scores_increase(detector):
    normal, anomaly = detector.expected_scores
    assert normal < anomaly
