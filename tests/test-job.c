/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replies: a worker that was led astray by what a disk contains may say anything. */

#undef NDEBUG

#include <stddef.h>

#include "daemon/text.h"

#include "tests/test.h"

static size_t size_of(uint32_t n_entries) {
        return offsetof(JobReply, entries) + n_entries * sizeof(Entry);
}

/* A reply that holds, as each lie begins. */
static JobReply *honest(uint32_t n_entries) {
        JobReply *r = calloc(1, sizeof(*r));

        CHECK(r);
        r->protocol = JOB_PROTOCOL;
        r->outcome = JOB_OK;
        r->id = 7;
        r->has_table = true;
        r->n_entries = n_entries;
        for (uint32_t i = 0; i < n_entries && i < JOB_ENTRIES_MAX; i++) {
                r->entries[i] = entry_of(i + 1, i % 2 ? "1234abcd-01" : UUID_X, "data");
                CHECK(str_copy(r->entries[i].type, PART_TYPE_SIZE, "0x83"));
        }
        CHECK(str_copy(r->message, sizeof(r->message), "all is well, \xc3\xa9t\xc3\xa9"));
        CHECK(str_copy(r->generation, sizeof(r->generation), "0123456789abcdef0123456789abcdef"));
        return r;
}

static void test_honest(void) {
        for (uint32_t n = 0; n <= JOB_ENTRIES_MAX; n++) {
                JobReply *r = honest(n);

                CHECK(job_reply_is_sane(r, size_of(n)));
                free(r);
        }
}

static void test_outcomes(void) {
        for (uint32_t i = 0; i <= _JOB_OUTCOME_MAX; i++) {
                JobReply *r = honest(0);

                r->outcome = i;
                /* the last two are the pool's own words: no worker may put them in its mouth */
                CHECK(job_reply_is_sane(r, size_of(0)) == (i < JOB_DIED));
                free(r);
        }
}

static void test_size(void) {
        JobReply *r = honest(2);

        for (size_t size = 0; size <= sizeof(*r); size++)
                CHECK(job_reply_is_sane(r, size) == (size == size_of(2)));
        free(r);
}

/* Of a request, only the options that there are are sent. */
static void test_request(void) {
        JobRequest *r = calloc(1, sizeof(*r));

        CHECK(r);
        r->protocol = JOB_PROTOCOL;
        for (uint32_t n = 0; n <= JOB_OPTIONS_MAX; n += n < 2 ? 1 : JOB_OPTIONS_MAX - 2) {
                r->options_size = n;
                CHECK(job_request_size(r) == offsetof(JobRequest, options) + n && job_request_size(r) <= sizeof(*r));
                for (size_t size = 0; size <= sizeof(*r); size++)
                        CHECK(job_request_is_whole(r, size) == (size == job_request_size(r)));
        }

        r->options_size = JOB_OPTIONS_MAX + 1;
        CHECK(!job_request_is_whole(r, job_request_size(r)));
        r->options_size = UINT32_MAX - offsetof(JobRequest, options) + 1;
        CHECK(!job_request_is_whole(r, offsetof(JobRequest, options)) && !job_request_is_whole(r, 0));
        r->options_size = 0;
        r->protocol++;
        CHECK(!job_request_is_whole(r, job_request_size(r)));
        free(r);
}

/* What was found is proven, or not; of nothing there is no proof. */
static void test_proven(void) {
        for (uint32_t i = 0; i < _KERNEL_INTERFACE_MAX; i++)
                for (uint32_t proven = 0; proven < 3; proven++) {
                        JobReply *r = honest(0);

                        r->interface = i;
                        r->proven = proven;
                        CHECK(job_reply_is_sane(r, size_of(0)) ==
                              (proven == 0 || (proven == 1 && i != KERNEL_INTERFACE_UNKNOWN)));
                        free(r);
                }
}

static void lie_protocol(JobReply *r) { r->protocol++; }
static void lie_outcome(JobReply *r) { r->outcome = UINT32_MAX; }
static void lie_interface(JobReply *r) { r->interface = _KERNEL_INTERFACE_MAX; }
static void lie_other_filter(JobReply *r) { memset(r->other_filter, 'x', sizeof(r->other_filter)); }
static void lie_message(JobReply *r) { memset(r->message, 'x', sizeof(r->message)); }
static void lie_pt_uuid(JobReply *r) { memset(r->pt_uuid, 'a', sizeof(r->pt_uuid)); }
static void lie_generation(JobReply *r) { memset(r->generation, 'a', sizeof(r->generation)); }
static void lie_generation_form(JobReply *r) { (void) str_copy(r->generation, GENERATION_SIZE, "1234"); }
static void lie_generation_case(JobReply *r) {
        (void) str_copy(r->generation, GENERATION_SIZE, "ABABABABABABABABABABABABABABABAB");
}
static void lie_message_utf8(JobReply *r) { (void) str_copy(r->message, sizeof(r->message), "caf\xe9"); }
static void lie_label_utf8(JobReply *r) { (void) str_copy(r->entries[0].label, PART_LABEL_SIZE, "\xc0\xaf"); }
static void lie_label_line(JobReply *r) { (void) str_copy(r->entries[0].label, PART_LABEL_SIZE, "a\nb"); }
static void lie_partno(JobReply *r) { r->entries[0].partno = 0; }
static void lie_order(JobReply *r) { r->entries[2].partno = 1; }
static void lie_double(JobReply *r) { r->entries[2].partno = r->entries[1].partno; }
static void lie_uuid(JobReply *r) { memset(r->entries[2].uuid, 'a', PART_UUID_SIZE); }
static void lie_uuid_form(JobReply *r) { (void) str_copy(r->entries[2].uuid, PART_UUID_SIZE, "any words"); }
static void lie_uuid_case(JobReply *r) { r->entries[1].uuid[4] = 'A'; }
static void lie_uuid_zero(JobReply *r) { (void) str_copy(r->entries[1].uuid, PART_UUID_SIZE, "00000000-01"); }
static void lie_label(JobReply *r) { memset(r->entries[2].label, 'x', PART_LABEL_SIZE); }
static void lie_type(JobReply *r) { memset(r->entries[2].type, 'x', PART_TYPE_SIZE); }

static void test_lies(void) {
        static void (*const lies[])(JobReply *r) = {
                lie_protocol,  lie_outcome, lie_interface, lie_other_filter, lie_message,
                lie_pt_uuid,   lie_partno,  lie_order,     lie_double,       lie_uuid,
                lie_uuid_form, lie_uuid_case, lie_uuid_zero, lie_label,      lie_type,
                lie_generation, lie_generation_form, lie_generation_case, lie_message_utf8, lie_label_utf8,
                lie_label_line,
        };

        for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
                JobReply *r = honest(3);

                CHECK(job_reply_is_sane(r, size_of(3)));
                lies[i](r);
                if (job_reply_is_sane(r, size_of(3))) {
                        fprintf(stderr, "lie %zu was believed\n", i);
                        abort();
                }
                free(r);
        }
}

/* A number of entries that makes the size overflow, or fit by chance. */
static void test_n_entries(void) {
        static const uint32_t numbers[] = { JOB_ENTRIES_MAX + 1, 0x10000000, 0x80000000, UINT32_MAX };

        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                JobReply *r = honest(0);

                r->n_entries = numbers[i];
                CHECK(!job_reply_is_sane(r, offsetof(JobReply, entries) + (size_t) numbers[i] * sizeof(Entry)));
                CHECK(!job_reply_is_sane(r, offsetof(JobReply, entries) + (uint32_t) (numbers[i] * sizeof(Entry))));
                CHECK(!job_reply_is_sane(r, sizeof(*r)));
                free(r);
        }
}

static void test_interfaces(void) {
        CHECK_STR(kernel_interface_to_string(KERNEL_INTERFACE_UNKNOWN), "unknown");
        CHECK_STR(kernel_interface_to_string(KERNEL_INTERFACE_NONE), "none");
        CHECK_STR(kernel_interface_to_string(KERNEL_INTERFACE_BLKFILTER_1), "blkfilter-1");
        CHECK_STR(kernel_interface_to_string(KERNEL_INTERFACE_BLKFILTER_2), "blkfilter-2");
        CHECK_STR(kernel_interface_to_string(KERNEL_INTERFACE_BDEVFILTER_40), "bdevfilter");
        CHECK_STR(kernel_interface_to_string(KERNEL_INTERFACE_BDEVFILTER_56), "bdevfilter");

        for (KernelInterface i = 0; i < _KERNEL_INTERFACE_MAX; i++) {
                CHECK(kernel_interface_has_filters(i) == (i != KERNEL_INTERFACE_UNKNOWN && i != KERNEL_INTERFACE_NONE));
                CHECK(kernel_interface_takes_options(i) ==
                      (i == KERNEL_INTERFACE_BLKFILTER_2 || i == KERNEL_INTERFACE_BDEVFILTER_56));
                CHECK(kernel_interface_is_bdevfilter(i) == str_equal(kernel_interface_to_string(i), "bdevfilter"));
        }
}

int main(void) {
        test_honest();
        test_outcomes();
        test_size();
        test_request();
        test_proven();
        test_lies();
        test_n_entries();
        test_interfaces();
        return EXIT_SUCCESS;
}
