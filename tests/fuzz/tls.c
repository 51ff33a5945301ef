/* fuzzer of sys/tls.h: no part of a ClientHello is read otherwise than the whole, a name is a host name, and what
 * stands behind the hello changes nothing. */
#include "../../sys/tls.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read of the input's first n bytes. */
static int parse(const uint8_t *data, size_t n, struct tls_hello *hello)
{
    uint8_t *copy = malloc(n ? n : 1); /* its own bounds */

    memcpy(copy, data, n);
    int result = tls_parse_hello(copy, n, false, hello);
    free(copy);
    return result;
}

static void fuzz_message(const uint8_t *data, size_t size)
{
    struct tls_hello whole, part;
    int result = parse(data, size, &whole);

    for (size_t n = 0; n < size; n += 1 + size / 64) {
        int early = parse(data, n, &part);

        assert(early == 0 || early == result);
        assert(early != 1 || part.name_len == whole.name_len);
    }
    if (result != 1)
        return;
    assert(whole.size <= size && parse(data, whole.size, &part) == 1);
    struct slice name = {whole.name, whole.name_len};
    assert(strlen(whole.name) == whole.name_len && (name.len == 0 || dns_name_valid(name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t record[5 + TLS_RECORD_MAX] = {22, 3, 1};

    fuzz_message(data, size);
    if (size == 0 || size > TLS_RECORD_MAX)
        return 0;
    record[3] = (uint8_t)(size >> 8); /* as the content of one record */
    record[4] = (uint8_t)size;
    memcpy(record + 5, data, size);
    fuzz_message(record, size + 5);
    return 0;
}

#include "replay.h"
