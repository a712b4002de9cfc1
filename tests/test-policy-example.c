/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The example, whose path is the argument, has every key; without the "#" before them all are valid. */

#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-file.h"
#include "daemon/policy-keys.h"

/* Whether a line is an assignment or a section that was made a comment: no blank behind the "#". */
static bool is_made_comment(const char *line) {
        return line[0] == '#' && (line[1] == '[' || (line[1] >= 'A' && line[1] <= 'Z' && strchr(line, '=')));
}

int main(int argc, char **argv) {
        char line[POLICY_LINE_MAX + 2], *text;
        PolicyFault f = POLICY_FAULT_INIT;
        Settings *defaults;
        Text t = TEXT_INIT;
        Policy *p;
        FILE *file;

        assert(argc == 2);
        file = fopen(argv[1], "re");
        assert(file);
        while (fgets(line, sizeof(line), file))
                text_add(&t, is_made_comment(line) ? line + 1 : line);
        fclose(file);
        assert(text_steal(&t, &text) == 0);

        if (policy_file_parse(text, strlen(text), "20-example.conf", argv[1], &p, &f) < 0) {
                fprintf(stderr, "%s:%u: %s\n", argv[1], f.line, f.message);
                return EXIT_FAILURE;
        }

        assert(p->n_lines == policy_key_count());
        for (size_t i = 0; i < p->n_lines; i++)
                assert(strcmp(p->lines[i].key, policy_key_name(i)) == 0);

        /* [Attach] shows the defaults */
        assert(settings_new(&defaults) == 0);
        (void) str_copy(defaults->module, sizeof(defaults->module), p->settings->module);
        assert(settings_equal(p->settings, defaults));

        settings_unref(defaults);
        policy_free(p);
        free(text);
        return EXIT_SUCCESS;
}
