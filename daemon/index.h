/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Index: who has a value, found without asking everybody. A hash table from hashes to owners; several may
 * stand under one. Half of the hash is kept, for there are many items: two values could have one, and whoever looks
 * something up compares the value itself.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct IndexItem IndexItem;
typedef struct IndexBlock IndexBlock;

struct IndexItem {
        IndexItem *next;  /* of the same bucket, or of those that are free */
        void *owner;      /* borrowed */
        uint32_t hash;    /* the lower half */
        unsigned detail;  /* what the owner means by it */
};

typedef struct Index {
        IndexItem **buckets; /* n_buckets, a power of two; NULL while empty */
        size_t n_buckets;
        size_t n_items;
        IndexItem *free;     /* items that stand for nothing */
        IndexBlock *blocks;  /* what the items are allocated in; kept until the end */
} Index;

void index_deinit(Index *x);
uint64_t index_hash(unsigned kind, const char *value);
uint64_t index_key(unsigned kind, const char *value);
uint64_t index_hash_u64(unsigned kind, uint64_t value);
int index_add(Index *x, uint64_t hash, void *owner, unsigned detail);
void index_remove(Index *x, uint64_t hash, const void *owner, unsigned detail);
const IndexItem *index_first(const Index *x, uint64_t hash);
const IndexItem *index_next(const IndexItem *i);
