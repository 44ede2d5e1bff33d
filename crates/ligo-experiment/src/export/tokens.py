"""The batches of `ligo train`: the same samples of a token store in the same order, with the same masks, each a function of its place in the run alone.
Written by `ligo export`; needs torch and numpy.
"""

import numpy as np
import torch

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
MASKS = 0x6D61736B
ROUNDS = 8


def mix(word):
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


def key(*coordinates):
    state = GOLDEN
    for word in coordinates:
        state = mix(((state + GOLDEN) & WORD) ^ mix((word + GOLDEN) & WORD))
    return state


class Stream:
    """Random numbers that begin at a key."""

    def __init__(self, start):
        self.state = start

    def next(self):
        self.state = (self.state + GOLDEN) & WORD
        return mix(self.state)

    def unit(self):
        return (self.next() >> 11) / (1 << 53)

    def below(self, bound):
        return (self.next() * bound) >> 64


class Order:
    """The order of samples: in each epoch a permutation by a Feistel network (Black and Rogaway, CT-RSA 2002)."""

    def __init__(self, seed, samples):
        self.seed, self.samples = seed, samples
        self.half = max(1, -(-(samples - 1).bit_length() // 2))
        self.epoch, self.keys = None, []

    def at(self, place):
        """Epoch and sample of the place in the row of all samples of all epochs."""
        epoch, index = divmod(place, self.samples)
        if epoch != self.epoch:
            self.epoch, self.keys = epoch, [key(self.seed, epoch, i) for i in range(ROUNDS)]
        if self.samples < 2:
            return epoch, index
        mask = (1 << self.half) - 1
        while True:
            left, right = index >> self.half, index & mask
            for round_key in self.keys:
                left, right = right, left ^ (mix(right ^ round_key) & mask)
            index = (left << self.half) | right
            if index < self.samples:
                return epoch, index


class Batches:
    """Micro-batches of a token store, each a function of its place alone."""

    def __init__(self, settings):
        self.settings = settings
        self.tokens = np.memmap(settings["tokens"], dtype={"u16": "<u2", "u32": "<u4"}[settings["dtype"]], mode="r")
        self.length, self.seed = settings["seq_len"], settings["data_seed"]
        self.masked = settings.get("masking")
        special = set(settings["special_ids"])
        self.special = special
        self.ordinary = [token for token in range(settings["vocab_size"]) if token not in special] if self.masked else []
        stride = self.length - 2 if self.masked else self.length
        beyond = 0 if self.masked else 1
        self.stride, self.order = stride, Order(self.seed, (len(self.tokens) - beyond) // stride)

    def micro_batch(self, number):
        """Inputs and labels of the micro-batch with this number in the run; -100 where nothing is to be predicted."""
        size = self.settings["batch_size"]
        return self.rows(number * size, size)

    def rows(self, first, count):
        """The same of neighbors in the row of all samples of all epochs."""
        inputs, labels = zip(*(self.row(*self.order.at(first + i)) for i in range(count)))
        return torch.tensor(inputs), torch.tensor(labels)

    def row(self, epoch, sample):
        begin = sample * self.stride
        if not self.masked:
            window = self.tokens[begin : begin + self.length + 1].tolist()
            return window[:-1], window[1:]
        ids = [self.masked["cls"], *self.tokens[begin : begin + self.stride].tolist(), self.masked["sep"]]
        labels = [-100] * len(ids)
        stream = Stream(key(MASKS, self.seed, epoch, sample))
        eligible = [at for at, token in enumerate(ids) if token not in self.special]
        if not eligible:
            return ids, labels
        chosen = [at for at in eligible if stream.unit() < self.masked["rate"]]
        for at in chosen or [eligible[stream.below(len(eligible))]]:
            labels[at], draw = ids[at], stream.unit()
            if draw < self.masked["mask_share"]:
                ids[at] = self.masked["mask"]
            elif draw < self.masked["mask_share"] + self.masked["random_share"]:
                ids[at] = self.ordinary[stream.below(len(self.ordinary))]
        return ids, labels
