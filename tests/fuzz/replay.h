/* replay.h - a fuzzer as a program that runs the files given to it (-DREPLAY), each flush with the end of its memory
 *
 * ./build.sh test does that with the corpora; ./build.sh fuzz [SECONDS] [NAME...] makes libFuzzer's programs. */
#ifdef REPLAY

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 20];

    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        size_t len = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
        uint8_t *input = malloc(len > 0 ? len : 1);

        if (file == NULL || ferror(file) || len == sizeof bytes || input == NULL) {
            fprintf(stderr, "%s: cannot be read whole\n", argv[i]);
            return 1;
        }
        fclose(file);
        memcpy(input, bytes, len);
        LLVMFuzzerTestOneInput(input, len);
        free(input);
    }
    return 0;
}

#endif
