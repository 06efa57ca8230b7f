"""A logistic regression on a few numbers per photo, instead of the body's features."""

import numpy as np
import scipy.optimize
import scipy.special


def classify(numbers: np.ndarray, labels: np.ndarray, splits: np.ndarray, classes: int) -> np.ndarray:
    """Fit a multinomial logistic regression to the train photos and apply it to the test photos.

    L-BFGS minimizes the summed cross-entropy plus half the squared weights, as scikit-learn's LogisticRegression does
    by default. This takes a few milliseconds; training it like the head would take a second per cue.

    Args:
        numbers: float [n, d] of any scale; standardized by the mean and standard deviation of the train photos.
        labels: int [n] in [0, classes).
        splits: str [n], train, val or test.
        classes: the number of classes.

    Returns:
        Probabilities of the test photos, in order: float64 [n test photos, classes].
    """
    train, test = splits == "train", splits == "test"
    spread = numbers[train].std(axis=0)
    # Drop numbers that are constant over the train photos: their spread is 0 or rounding error
    scale = np.where(spread > 1e-9, spread, np.inf)
    features = np.column_stack([(numbers - numbers[train].mean(axis=0)) / scale, np.ones(len(numbers))])
    x, truth = features[train], np.eye(classes)[labels[train]]
    penalized = np.ones((features.shape[1], 1))
    penalized[-1] = 0  # the bias is not penalized

    def loss_and_gradient(flat):
        weights = flat.reshape(-1, classes)
        log_shares = scipy.special.log_softmax(x @ weights, axis=1)
        loss = 0.5 * (penalized * weights**2).sum() - (truth * log_shares).sum()
        return loss, (x.T @ (np.exp(log_shares) - truth) + penalized * weights).ravel()

    start = np.zeros(features.shape[1] * classes)
    fit = scipy.optimize.minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return scipy.special.softmax(features[test] @ fit.x.reshape(-1, classes), axis=1)
