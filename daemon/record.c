/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/record.h"
#include "daemon/text.h"

/* What is said of the record as a whole, before its attachment can be made. */
typedef struct Draft {
        char filter[FILTER_NAME_SIZE], source[16], pin[24], policy[4096];
        Term terms[MATCH_TERMS_MAX + 1]; /* values point into the text */
        size_t n_terms;
        Gap gaps[ATTACHMENT_GAPS_MAX];
        RecordNote note;
        bool whole;
        char disk[JOB_NODE_SIZE], wwn[DISK_ID_SIZE], serial[DISK_ID_SIZE]; /* as in Fingerprint */
        char pt_uuid[PART_UUID_SIZE];                                      /* that too */
        uint64_t diskseq;
        char generation[GENERATION_SIZE];                                  /* fingerprint_get_generation() */
        Entry entry;
        Attachment facts; /* flags and numbers, those of the fingerprint too; the rest unused */
} Draft;

typedef enum FieldKind {
        FIELD_TEXT,
        FIELD_U64,
        FIELD_UNSIGNED,
        FIELD_BOOL,
} FieldKind;

/* What is a value each, and comes once at most. */
static const struct {
        const char *key;
        FieldKind kind;
        size_t offset; /* in Draft */
        size_t size;   /* FIELD_TEXT */
} fields[] = {
#define TEXT(key, member) { key, FIELD_TEXT, offsetof(Draft, member), sizeof(((Draft *) NULL)->member) }
#define FIELD(key, kind, member) { key, kind, offsetof(Draft, member), 0 }
        TEXT("filter", filter),
        TEXT("boot", note.boot),
        TEXT("source", source),
        TEXT("pin", pin),
        TEXT("policy", policy),
        FIELD("asked", FIELD_BOOL, facts.asked),
        FIELD("held", FIELD_BOOL, facts.held),
        FIELD("orphaned", FIELD_BOOL, facts.orphaned),
        FIELD("past_due", FIELD_BOOL, facts.past_due),
        FIELD("attached", FIELD_U64, facts.n_attached),
        FIELD("gaps", FIELD_U64, facts.n_gaps),
        FIELD("noted_object", FIELD_U64, facts.noted_object),
        FIELD("left_object", FIELD_U64, facts.left_object),
        FIELD("number", FIELD_U64, facts.number),
        FIELD("left_number", FIELD_U64, facts.left_number),
        FIELD("foreign", FIELD_BOOL, facts.foreign),
        FIELD("intact_since", FIELD_U64, facts.recorded_since_usec),
        FIELD("noted_at", FIELD_U64, facts.recorded_at_usec),
        FIELD("fingerprint", FIELD_BOOL, facts.has_fingerprint),
        TEXT("disk", disk),
        TEXT("wwn", wwn),
        TEXT("serial", serial),
        TEXT("generation", generation),
        TEXT("pt_uuid", pt_uuid),
        FIELD("diskseq", FIELD_U64, diskseq),
        FIELD("object", FIELD_U64, facts.fingerprint.object),
        FIELD("partno", FIELD_UNSIGNED, entry.partno),
        FIELD("start", FIELD_U64, entry.start_sectors),
        FIELD("size", FIELD_U64, entry.size_sectors),
        TEXT("uuid", entry.uuid),
        TEXT("label", entry.label),
        TEXT("type", entry.type),
#undef TEXT
#undef FIELD
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))
_Static_assert(N_FIELDS <= 64, "fit into the set of those that came");

static void add_escaped(Text *t, const char *s) {
        for (; *s; s++) {
                unsigned char c = (unsigned char) *s;

                if (c < 0x20 || c == 0x7f || c == '\\') {
                        text_add(t, "\\x");
                        text_add_hex(t, c, 2);
                } else
                        text_add_n(t, s, 1);
        }
}

static void add_field(Text *t, size_t i, const Draft *d) {
        const char *at = (const char *) d + fields[i].offset;

        if (fields[i].kind == FIELD_TEXT && !at[0])
                return; /* as if it were there */

        text_add(t, fields[i].key);
        text_add(t, "=");

        switch (fields[i].kind) {
        case FIELD_TEXT:
                add_escaped(t, at);
                break;
        case FIELD_U64:
                text_add_u64(t, *(const uint64_t *) (const void *) at);
                break;
        case FIELD_UNSIGNED:
                text_add_u64(t, *(const unsigned *) (const void *) at);
                break;
        case FIELD_BOOL:
                text_add_u64(t, *(const bool *) at);
                break;
        }

        text_add(t, "\n");
}

/*
 * That tracking is intact is noted with the time when that was last known, not when the record is
 * written: somebody may have taken the filter off since. What an earlier daemon noted is true until it has been
 * looked at.
 */
static void fill_intact(const Attachment *a, uint64_t now_usec, Attachment *facts) {
        facts->noted_object = a->on_device ? a->fingerprint.object : a->noted_object;
        facts->recorded_since_usec = a->intact_since_usec ?: a->recorded_since_usec;

        if (a->intact_since_usec)
                facts->recorded_at_usec = a->seen_usec && a->seen_usec < now_usec ? a->seen_usec : now_usec;
        else
                facts->recorded_at_usec = a->recorded_since_usec ? a->recorded_at_usec : 0;
}

static void fill_fingerprint(const Fingerprint *f, Draft *d) {
        d->diskseq = f->disk->diskseq;
        d->facts.fingerprint.object = f->object;
        fingerprint_get_generation(f, d->generation);
        (void) str_copy(d->disk, sizeof(d->disk), f->disk->name);
        (void) str_copy(d->wwn, sizeof(d->wwn), f->disk->wwn);
        (void) str_copy(d->serial, sizeof(d->serial), f->disk->serial);
        (void) str_copy(d->pt_uuid, sizeof(d->pt_uuid), f->disk->pt_uuid);
        kept_entry_get(f->entry, &d->entry);
}

/**
 * record_format() - an attachment as a record
 * @a: the attachment
 * @note: what is noted besides
 * @now_realtime_usec: the time
 * @ret: owned by the caller, free()
 *
 * Return: 0, -E2BIG if it is more than RECORD_SIZE_MAX bytes, or -ENOMEM.
 */
int record_format(const Attachment *a, const RecordNote *note, uint64_t now_realtime_usec, char **ret) {
        Text t = TEXT_INIT;
        size_t length;
        Draft *d;
        int r;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;

        d->facts.asked = a->asked;
        d->facts.held = a->held;
        d->facts.orphaned = a->orphaned;
        d->facts.past_due = a->past_due;
        d->facts.n_attached = a->n_attached;
        d->facts.n_gaps = a->n_gaps;
        d->facts.left_object = a->left_object;
        d->facts.number = a->number;
        d->facts.left_number = a->left_number;
        d->facts.foreign = a->foreign;
        d->facts.has_fingerprint = a->has_fingerprint;
        fill_fingerprint(&a->fingerprint, d);
        d->note = *note;
        fill_intact(a, now_realtime_usec, &d->facts);

        if (!str_copy(d->filter, sizeof(d->filter), a->filter) ||
            !str_copy(d->source, sizeof(d->source), attachment_source_to_string(a->source)) ||
            !str_copy(d->pin, sizeof(d->pin), a->is_instance ? match_key_to_string(a->pin) : "") ||
            !str_copy(d->policy, sizeof(d->policy), a->policy_path ?: "")) {
                free(d);
                return -E2BIG;
        }

        for (size_t i = 0; i < N_FIELDS; i++)
                add_field(&t, i, d);

        free(d);

        for (size_t i = 0; i < a->match->n_terms; i++) {
                const Term *term = &a->match->terms[i];

                text_add(&t, "match=");
                text_add(&t, match_key_to_string(term->key));
                text_add(&t, term->negated ? term->glob ? " !~ " : " != " : term->glob ? " ~ " : " = ");
                add_escaped(&t, term->value);
                text_add(&t, "\n");
        }

        for (size_t i = 0; i < a->n_gaps_kept; i++) {
                text_add(&t, "gap=");
                text_add_u64(&t, a->gaps[i].begin_usec);
                text_add(&t, " ");
                text_add_u64(&t, a->gaps[i].latest_usec);
                text_add(&t, " ");
                text_add_u64(&t, a->gaps[i].end_usec);
                text_add(&t, " ");
                add_escaped(&t, a->gaps[i].reason);
                text_add(&t, "\n");
        }

        text_add(&t, "end=1\n");

        length = t.length;
        r = text_steal(&t, ret);
        if (r < 0)
                return r;

        if (length > RECORD_SIZE_MAX) {
                free(*ret);
                *ret = NULL;
                return -E2BIG;
        }

        return 0;
}

/* In place; false if it has a control byte, or a backslash that stands for none. */
static bool unescape(char *s) {
        char *to = s;

        for (; *s; to++) {
                if (*s == '\\') {
                        if (s[1] != 'x' || !ascii_is_hex(s[2]) || !ascii_is_hex(s[3]))
                                return false;

                        char hex[3] = { s[2], s[3], 0 };

                        *to = (char) strtoul(hex, NULL, 16);
                        if (!*to)
                                return false;
                        s += 4;
                } else if ((unsigned char) *s < 0x20 || *s == 0x7f)
                        return false;
                else
                        *to = *s++;
        }

        *to = 0;
        return true;
}

static bool parse_u64(const char *s, uint64_t *ret) {
        char *end;

        if (*s < '0' || *s > '9')
                return false;

        errno = 0;
        *ret = strtoull(s, &end, 10);
        return errno == 0 && !*end;
}

static bool parse_field(Draft *d, size_t i, char *value) {
        char *at = (char *) d + fields[i].offset;
        uint64_t v;

        if (fields[i].kind == FIELD_TEXT)
                return unescape(value) && str_copy(at, fields[i].size, value);

        if (!parse_u64(value, &v))
                return false;

        switch (fields[i].kind) {
        case FIELD_BOOL:
                *(bool *) at = v == 1;
                return v <= 1;
        case FIELD_UNSIGNED:
                *(unsigned *) (void *) at = (unsigned) v;
                return v <= UINT32_MAX;
        default:
                *(uint64_t *) (void *) at = v;
                return true;
        }
}

static bool parse_key(const char *s, MatchKey *ret) {
        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++)
                if (str_equal(s, match_key_to_string(key))) {
                        *ret = key;
                        return true;
                }

        return false;
}

/* "KEY OPERATOR VALUE" */
static bool parse_term(Draft *d, char *s) {
        char *key = strsep(&s, " "), *operator = s ? strsep(&s, " ") : NULL, normalized[FACT_SIZE];
        Term t = { .value = s };

        if (!s || d->n_terms == MATCH_TERMS_MAX + 1 || !parse_key(key, &t.key) || !unescape(s) || !s[0])
                return false;

        t.negated = operator[0] == '!';
        operator += t.negated;
        t.glob = operator[0] == '~';
        if ((operator[0] != '=' && operator[0] != '~') || operator[1])
                return false;

        if (t.glob ? !match_key_allows_glob(t.key) : !fact_normalize(t.key, s, normalized) || !str_equal(s, normalized))
                return false;

        d->terms[d->n_terms++] = t;
        return true;
}

/* "BEGIN LATEST END REASON" */
static bool parse_gap(Draft *d, char *s) {
        char *begin = strsep(&s, " "), *latest = s ? strsep(&s, " ") : NULL, *end = s ? strsep(&s, " ") : NULL;
        Gap g = { 0 };

        if (!s || d->facts.n_gaps_kept == ATTACHMENT_GAPS_MAX || !parse_u64(begin, &g.begin_usec) ||
            !parse_u64(latest, &g.latest_usec) || !parse_u64(end, &g.end_usec) || !unescape(s) || !s[0] ||
            !utf8_is_printable(s) || !str_copy(g.reason, sizeof(g.reason), s))
                return false;

        if (g.latest_usec < g.begin_usec || (g.end_usec && g.end_usec < g.begin_usec))
                return false;

        /* only the last one can be open */
        if (d->facts.n_gaps_kept > 0 && !d->gaps[d->facts.n_gaps_kept - 1].end_usec)
                return false;

        d->gaps[d->facts.n_gaps_kept++] = g;
        return true;
}

static bool parse_line(Draft *d, uint64_t *seen, const char *key, char *value) {
        if (str_equal(key, "match"))
                return parse_term(d, value);
        if (str_equal(key, "gap"))
                return parse_gap(d, value);
        if (str_equal(key, "end"))
                return d->whole = str_equal(value, "1");

        for (size_t i = 0; i < N_FIELDS; i++)
                if (str_equal(key, fields[i].key)) {
                        if (*seen & UINT64_C(1) << i)
                                return false;

                        *seen |= UINT64_C(1) << i;
                        return parse_field(d, i, value);
                }

        return true; /* of a newer daemon, which knew what it is for */
}

static bool is_hex(const char *s, size_t n) {
        if (strlen(s) != n)
                return false;

        for (; *s; s++)
                if (!ascii_is_hex(*s) || ascii_tolower(*s) != *s)
                        return false;

        return true;
}

static bool fingerprint_is_sane(const Draft *d) {
        const Entry *e = &d->entry;
        char uuid[PART_UUID_SIZE];

        return utf8_is_printable(e->label) && utf8_is_printable(e->type) && utf8_is_printable(d->pt_uuid) &&
               utf8_is_printable(d->disk) && utf8_is_printable(d->wwn) && utf8_is_printable(d->serial) &&
               (!d->generation[0] || is_hex(d->generation, 32)) &&
               (!e->uuid[0] || (part_uuid_normalize(e->uuid, uuid) && str_equal(uuid, e->uuid)));
}

static int make_fingerprint(const Draft *d, Fingerprint *ret) {
        const DiskPrint disk = { .diskseq = d->diskseq, .name = d->disk, .pt_uuid = d->pt_uuid, .wwn = d->wwn,
                                 .serial = d->serial };

        ret->object = d->facts.fingerprint.object;
        (void) fingerprint_set_generation(ret, d->generation);

        if (fingerprint_set_disk(ret, &disk) < 0)
                return -ENOMEM;

        return d->entry.partno > 0 ? kept_entry_new(&d->entry, NULL, &ret->entry) : 0;
}

static int make_attachment(const Draft *d, Attachment **ret) {
        const Attachment *f = &d->facts;
        AttachmentSource source;
        MatchKey pin = 0;
        Match *match;
        Attachment *a;
        int r;

        if (!d->whole || !fingerprint_is_sane(d) || f->n_gaps < f->n_gaps_kept ||
            (d->note.boot[0] && !is_hex(d->note.boot, BOOT_ID_SIZE - 1)) || (d->pin[0] && !parse_key(d->pin, &pin)) ||
            d->n_terms == 0)
                return -EBADMSG;

        for (source = 0; source < _ATTACHMENT_SOURCE_MAX; source++)
                if (str_equal(d->source, attachment_source_to_string(source)))
                        break;
        if (source == _ATTACHMENT_SOURCE_MAX)
                return -EBADMSG;

        r = match_new(d->terms, d->n_terms, &match);
        if (r < 0)
                return r;

        r = attachment_new(d->filter, match, source, &a);
        match_unref(match);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;

        if (d->policy[0])
                a->policy_path = shared_new(d->policy);
        if (f->n_gaps_kept > 0)
                a->gaps = malloc(f->n_gaps_kept * sizeof(*a->gaps));
        if ((d->policy[0] && !a->policy_path) || (f->n_gaps_kept > 0 && !a->gaps) ||
            make_fingerprint(d, &a->fingerprint) < 0) {
                attachment_free(a);
                return -ENOMEM;
        }

        if (f->n_gaps_kept > 0)
                memcpy(a->gaps, d->gaps, f->n_gaps_kept * sizeof(*a->gaps));

        a->n_gaps_kept = f->n_gaps_kept;
        a->n_gaps = f->n_gaps;
        a->n_attached = f->n_attached;
        a->is_instance = d->pin[0];
        a->pin = pin;
        a->asked = f->asked;
        a->held = f->held;
        a->orphaned = f->orphaned;
        a->past_due = f->past_due;
        a->noted_object = f->noted_object;
        a->left_object = f->left_object;
        a->number = f->number;
        a->left_number = f->left_number;
        a->foreign = f->foreign;
        a->recorded_since_usec = f->recorded_since_usec;
        a->recorded_at_usec = f->recorded_at_usec;
        a->has_fingerprint = f->has_fingerprint;

        *ret = a;
        return 0;
}

/**
 * record_parse() - an attachment from its record
 * @text: NUL-terminated, any content; overwritten
 * @ret: in no set; owned by the caller. What it knows of the device it knows by an earlier daemon's word:
 *       noted_object, recorded_since_usec and recorded_at_usec, and it is on no device
 * @ret_note: what was noted besides
 *
 * Return: 0, -EBADMSG if it is cut off, or was not written by record_format(), or -ENOMEM.
 */
int record_parse(char *text, Attachment **ret, RecordNote *ret_note) {
        char *line, *rest = text;
        uint64_t seen = 0;
        Draft *d;
        int r = 0;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;

        while (r == 0 && (line = strsep(&rest, "\n"))) {
                char *value = strchr(line, '=');

                /* the last line ends in a newline; nothing comes behind it */
                if (d->whole) {
                        r = rest || *line ? -EBADMSG : 0;
                        break;
                }

                if (!value || !rest) {
                        r = -EBADMSG;
                        break;
                }

                *value++ = 0;
                if (!parse_line(d, &seen, line, value))
                        r = -EBADMSG;
        }

        if (r == 0)
                r = make_attachment(d, ret);
        if (r == 0)
                *ret_note = d->note;

        free(d);
        return r;
}
