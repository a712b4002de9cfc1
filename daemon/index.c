/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/index.h"

#define BLOCK_ITEMS 32
#define BUCKET_ITEMS 2 /* in each bucket, on average, before there are more buckets */

/* Items by the dozen: the allocator needs some bytes of its own for each piece that it gives. */
struct IndexBlock {
        IndexBlock *next;
        IndexItem items[BLOCK_ITEMS];
};

/**
 * index_deinit() - release an index; not the owners in it
 * @x: the index; empty and usable again afterwards
 */
void index_deinit(Index *x) {
        while (x->blocks) {
                IndexBlock *next = x->blocks->next;

                free(x->blocks);
                x->blocks = next;
        }

        free(x->buckets);
        *x = (Index) { 0 };
}

/* The last step of splitmix64: every bit of the input changes half of the output's. */
static uint64_t mix(uint64_t z) {
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/**
 * index_hash() - the hash of a string
 * @kind: what it is a value of: the same string of two kinds has two hashes
 * @value: NUL-terminated
 *
 * FNV-1a, 64 bits.
 */
uint64_t index_hash(unsigned kind, const char *value) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ kind;

        for (const char *p = value; *p; p++)
                hash = (hash ^ (unsigned char) *p) * UINT64_C(0x100000001b3);

        return mix(hash);
}

/**
 * index_key() - the hash of a string, for an index
 * @kind: as of index_hash()
 * @value: NUL-terminated
 *
 * Eight bytes at a time, and so a good deal quicker than index_hash() for an event that asks for a handful of UUIDs.
 * Not to be kept: it is another one on a machine of the other byte order.
 */
uint64_t index_key(unsigned kind, const char *value) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ kind, word;
        size_t n = strlen(value);

        for (; n >= sizeof(word); n -= sizeof(word), value += sizeof(word)) {
                memcpy(&word, value, sizeof(word));
                hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 32;
        }

        word = 0;
        memcpy(&word, value, n);
        return mix(hash ^ word);
}

/**
 * index_hash_u64() - the hash of a number
 * @kind: as of index_hash()
 * @value: the number
 */
uint64_t index_hash_u64(unsigned kind, uint64_t value) {
        return mix(value + (uint64_t) kind * UINT64_C(0x9e3779b97f4a7c15));
}

/* By the half of the hash that is kept: of an index that has some. */
static IndexItem **get_bucket(const Index *x, uint64_t hash) {
        return &x->buckets[(uint32_t) hash & (x->n_buckets - 1)];
}

static int grow(Index *x) {
        size_t n = x->n_buckets ? x->n_buckets * 2 : 64;
        IndexItem **buckets = calloc(n, sizeof(*buckets));

        if (!buckets)
                return -ENOMEM;

        for (size_t i = 0; i < x->n_buckets; i++)
                while (x->buckets[i]) {
                        IndexItem *item = x->buckets[i];

                        x->buckets[i] = item->next;
                        item->next = buckets[item->hash & (n - 1)];
                        buckets[item->hash & (n - 1)] = item;
                }

        free(x->buckets);
        x->buckets = buckets;
        x->n_buckets = n;
        return 0;
}

static void free_item(Index *x, IndexItem *item) {
        item->next = x->free;
        x->free = item;
}

static IndexItem *take_item(Index *x) {
        IndexBlock *block;
        IndexItem *item;

        if (!x->free) {
                block = malloc(sizeof(*block));
                if (!block)
                        return NULL;

                block->next = x->blocks;
                x->blocks = block;
                for (size_t i = 0; i < BLOCK_ITEMS; i++)
                        free_item(x, &block->items[i]);
        }

        item = x->free;
        x->free = item->next;
        return item;
}

/**
 * index_add() - note that somebody has a value
 * @x: the index
 * @hash: of the value
 * @owner: who; borrowed until it is removed
 * @detail: told with it; the same owner may stand under one hash with several
 *
 * Return: 0, or -ENOMEM: it is not noted.
 */
int index_add(Index *x, uint64_t hash, void *owner, unsigned detail) {
        IndexItem *item, **bucket;

        if (x->n_items >= x->n_buckets * BUCKET_ITEMS && grow(x) < 0 && !x->n_buckets)
                return -ENOMEM;

        item = take_item(x);
        if (!item)
                return -ENOMEM;

        bucket = get_bucket(x, hash);
        *item = (IndexItem) { .next = *bucket, .owner = owner, .hash = (uint32_t) hash, .detail = detail };
        *bucket = item;
        x->n_items++;
        return 0;
}

/**
 * index_remove() - forget that somebody has a value
 * @x: the index
 * @hash: as it was added
 * @owner: as it was added
 * @detail: as it was added; nothing happens if it was not
 */
void index_remove(Index *x, uint64_t hash, const void *owner, unsigned detail) {
        if (!x->n_buckets)
                return;

        for (IndexItem **p = get_bucket(x, hash); *p; p = &(*p)->next)
                if ((*p)->hash == (uint32_t) hash && (*p)->owner == owner && (*p)->detail == detail) {
                        IndexItem *item = *p;

                        *p = item->next;
                        free_item(x, item);
                        x->n_items--;
                        return;
                }
}

/**
 * index_first() - who has a value
 * @x: the index
 * @hash: of the value
 *
 * Return: the first item, in no particular order; borrowed until the index is changed; NULL if there
 * is none.
 */
const IndexItem *index_first(const Index *x, uint64_t hash) {
        IndexItem *i = x->n_buckets ? *get_bucket(x, hash) : NULL;

        while (i && i->hash != (uint32_t) hash)
                i = i->next;

        return i;
}

/**
 * index_next() - who else has it
 * @i: from index_first() or index_next()
 *
 * Return: as index_first().
 */
const IndexItem *index_next(const IndexItem *i) {
        const IndexItem *n = i->next;

        while (n && n->hash != i->hash)
                n = n->next;

        return n;
}
