"""Anomaly heterogeneity learning on one page: Algorithm 1 on toy features, with torch alone.

Normal images are points of three clusters in the first four of twelve dimensions, with little
noise in the others. An anomaly of kind k is a normal moved along direction k of these others.
Training has ten anomalies of kinds 0 and 1; the test also has kinds 2 and 3, which training never
saw. `ahl train --episodes` does the same on feature maps, with the heads of DRA or DevNet. Points
this simple need no such teaching: the same detector trained alone, which stands beside, does about
as well.

    python examples/ahl_in_one_page.py
"""

from itertools import permutations

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.func import functional_call

EPOCHS, STEPS, PAST, INNER_RATE, OUTER_RATE = 100, 5, 5, 0.005, 0.02


def loss_of(model, weights, x, y):
    """Deviation loss on as many normals as anomalies: normals score 0, anomalies 5 or more."""
    chosen = [torch.nonzero(y == kind).flatten() for kind in (0, 1)]
    chosen = torch.cat([own[torch.randint(len(own), (24,))] for own in chosen])
    scores, labels = functional_call(model, weights, x[chosen]), y[chosen]
    return torch.where(labels > 0, torch.relu(5 - scores), scores.abs()).mean()


def descend(model, weights, x, y, steps):
    """A copy of the weights after some steps of Adam."""
    weights = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
    optimiser = torch.optim.Adam(weights.values(), lr=INNER_RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(model, weights, x, y).backward()
        optimiser.step()
    return weights


def with_pseudo(normals, anomalies):
    """One support or query set: normals, anomalies, and normals tampered with at random."""
    tampered = normals + 2 * nn.functional.normalize(torch.randn_like(normals), dim=1)
    x = torch.cat([normals, anomalies, tampered])
    return x, (torch.arange(len(x)) >= len(normals)).float()


def make_distributions(normals, anomalies):
    """Section 3.2: every ordered pair of clusters, and all normals halved; T = 7 in all.

    A support set holds half of the anomalies, its query set all of them.
    """
    group = torch.tensor(KMeans(3, n_init=10, random_state=0).fit_predict(normals.numpy()))
    half = torch.randperm(len(normals)) % 2
    pairs = [(normals[group == a], normals[group == b]) for a, b in permutations(range(3), 2)]
    for support, query in [*pairs, (normals[half == 0], normals[half == 1])]:
        seen = torch.randperm(len(anomalies))[: len(anomalies) // 2]
        yield with_pseudo(support, anomalies[seen]), with_pseudo(query, anomalies)


def algorithm_1(model, distributions, x, y):
    """The weights of the unified model g, which learns from what the base models miss."""
    models, past = len(distributions), []
    g = {name: value.detach().clone() for name, value in model.named_parameters()}
    outer = torch.optim.Adam(g.values(), lr=OUTER_RATE)
    lstm = nn.LSTM(models, 7, num_layers=2, bidirectional=True, batch_first=True)
    psi = nn.ModuleList([lstm, nn.Sequential(nn.Linear(14, 14), nn.ReLU(), nn.Linear(14, models))])
    psi_optimiser = torch.optim.Adam(psi.parameters(), lr=0.02)
    for _ in range(EPOCHS):
        # Lines 13 and 5: base models start from g and learn from their support sets (Eq. 1).
        bases = [descend(model, g, *support, STEPS) for support, _ in distributions]
        with torch.no_grad():  # scores of D by each, on the scale of the labels
            scores = torch.stack([functional_call(model, phi, x) for phi in bases], dim=1)
            scores = (scores / 5).clamp(0, 1)
        # Lines 6 to 11: psi predicts the scores of the epoch (Eq. 5), which are then judged.
        importance = torch.full((models,), 1 / models)
        if len(past) == PAST:
            for _step in range(10):
                predicted = psi[1](psi[0](torch.stack(past, dim=1))[0][:, -1])
                psi_optimiser.zero_grad()
                (predicted - scores).square().mean().backward()
                psi_optimiser.step()
            errors = (predicted.detach() - y[:, None]).square().mean(dim=0)  # Eq. 6 with c_j = 1
            importance = torch.softmax(-errors, dim=0)  # Eq. 7
        past = [*past, scores][-PAST:]
        # Line 12: g takes the weighted gradient of the query losses, first order (Eq. 2 to 4).
        gradients = []
        for phi, (_, query) in zip(bases, distributions, strict=True):
            loss = loss_of(model, phi, *query)
            gradients.append(torch.autograd.grad(loss, list(phi.values())))
        for value, own in zip(g.values(), zip(*gradients, strict=True), strict=True):
            value.grad = torch.tensordot(importance, torch.stack(own), dims=1)
        outer.step()
    return g


def main(seed=0):
    """AUROC on seen and unseen kinds by AHL and by the same detector trained alone."""
    torch.manual_seed(seed)
    centres = torch.cat([3 * torch.randn(3, 4), torch.zeros(3, 8)], dim=1)
    spread = torch.tensor([1.0] * 4 + [0.3] * 8)

    def draw(count, kind=None):
        points = centres[torch.randint(3, (count,))] + spread * torch.randn(count, 12)
        if kind is not None:
            points[:, 4 + 2 * kind] += 1.5
        return points

    normals, anomalies = draw(120), torch.cat([draw(5, 0), draw(5, 1)])
    distributions = list(make_distributions(normals, anomalies))
    x, y = with_pseudo(normals, anomalies)
    model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    weights = {
        "AHL": algorithm_1(model, distributions, x, y),
        "alone": descend(model, dict(model.named_parameters()), x, y, EPOCHS * STEPS),
    }
    found = {}
    for name, own in weights.items():
        with torch.no_grad():
            good, *bad = (
                functional_call(model, own, draw(300, kind)) for kind in (None, 0, 1, 2, 3)
            )
        for kinds, scores in (("seen", bad[:2]), ("unseen", bad[2:])):
            labels = [0] * 300 + [1] * 600
            found[name, kinds] = roc_auc_score(labels, torch.cat([good, *scores]))
            print(f"{name}, {kinds} kinds: AUROC {found[name, kinds]:.3f}")
    return found


if __name__ == "__main__":
    main()
