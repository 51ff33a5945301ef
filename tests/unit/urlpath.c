/* unit test of sys/urlpath.h: one normal form for all ways to write a path, and patterns */
#include "unit.h"

#include "../../sys/urlpath.h"

static bool becomes(const char *path, const char *expected)
{
    char to[64];
    int64_t len = urlpath_normalize((struct slice){unit_flush(path, strlen(path)), strlen(path)}, to, sizeof to);

    if (len < 0)
        return expected == NULL;
    printf("%s", expected != NULL && slice_is((struct slice){to, (size_t)len}, expected) ? "" : path);
    return expected != NULL && slice_is((struct slice){to, (size_t)len}, expected);
}

static void test_normal_form(void)
{
    EXPECT(becomes("/", "/"));
    EXPECT(becomes("/a/b", "/a/b"));
    EXPECT(becomes("/a/b/", "/a/b/"));
    EXPECT(becomes("//a///b//", "/a/b/"));
    EXPECT(becomes("/./a/./b/.", "/a/b/"));
    EXPECT(becomes("/a/../b", "/b"));
    EXPECT(becomes("/a/b/..", "/a/"));
    EXPECT(becomes("/a/b/../", "/a/"));
    EXPECT(becomes("/..", "/"));
    EXPECT(becomes("/../../a", "/a"));
    EXPECT(becomes("/a//../b", "/b"));
    EXPECT(becomes("/...", "/..."));
    EXPECT(becomes("/.a/..b", "/.a/..b"));
    EXPECT(becomes("/%61%2D%7e%5F%2E", "/a-~_."));
    EXPECT(becomes("/%2e%2E/a", "/a"));
    EXPECT(becomes("/a/%2e./b", "/b"));
    EXPECT(becomes("/%2a%c3%a9", "/%2A%C3%A9"));
    EXPECT(becomes("/\xc3\xa9", "/%C3%A9"));
    EXPECT(becomes("/%2561%252Fb", "/%2561%252Fb")); /* decoded once */
    EXPECT(becomes("/%C0%C1%e0%A4%80", "/%C0%C1%E0%A4%80"));
    EXPECT(becomes("/A/b", "/A/b"));
    EXPECT(becomes("/a;b=c/d", "/a;b=c/d"));
    EXPECT(becomes("/@a%2Fb", "/@a%2Fb"));
    EXPECT(becomes("/a\"b", "/a\"b"));
    EXPECT(becomes("/a\\b", "/a%5Cb"));
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "", "a", "/%", "/%2", "/%g0", "/%0g", "/%00", "/a%00b", "/..%2fa", "/a/..%2F..%2fb", "/a%2f..", "/a%5c..%5cb",
        "/a\\..\\b", "/..;/a", "/a/..;x=y/b", "/.;/a", "/a%2f.%2fb", "/%2e%2e;a", "/%2e%2e%3ba",
        "/a%2fb/..", "/a%2fb/../c", "/a%5cb/%2e%2e/c", "/a/b%2Fc/../d", "/%2f/..",
        "/%252e%252e/a", "/a/..%252fb", "/%25252e%25252E/a", "/%25%32%65./a", "/.%%32%65", "/a%2500b", "/a%255cb/../c",
        "/%c0%ae%c0%ae/a", "/a/..%c0%afb", "/a/..%c1%9cb", "/%e0%80%ae%e0%80%ae/a", "/%25c0%25ae./a", "/a%c0%80",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EXPECT(becomes(bad[i], NULL));
    char small[8];
    EXPECT(urlpath_normalize(slice_of("/aaaaaaaaaaaaaa"), small, sizeof small) == -EBADMSG);
}

static bool loosened(const char *path, bool pattern, const char *expected)
{
    char to[64];
    struct slice text = {unit_flush(path, strlen(path)), strlen(path)};

    return slice_is((struct slice){to, urlpath_loosen(text, pattern, to)}, expected);
}

static void test_loose_form(void)
{
    EXPECT(loosened("/", false, "/") && loosened("/a/b/", false, "/a/b/") && loosened("/a%3Ab", false, "/a:b"));
    EXPECT(loosened("/%2Fa%2Fb", false, "/a/b") && loosened("/a%5Cb/%2F", false, "/a/b/"));
    EXPECT(loosened("/a;x=y", false, "/a") && loosened("/a;x/b%3By%2Fc", false, "/a/b/c"));
    EXPECT(loosened("/;x/a", false, "/a"));
    EXPECT(loosened("/a%20", false, "/a") && loosened("/a%A0", false, "/a") && loosened("/a%20b%0D%0A", false, "/a b"));
    EXPECT(loosened("/%20", false, "/") && loosened("/a.%20.", false, "/a"));
    EXPECT(loosened("/a%252F%2541", false, "/a/a") && loosened("/a%2525%25", false, "/a%%"));
    EXPECT(loosened("/Secret%C3%89", false, "/secret\xc3\x89") && loosened("/a%C0%AFb%E0%81%81", false, "/a/ba"));
    EXPECT(loosened("/a;*", true, "/a*") && loosened("/a;*", false, "/a") && loosened("/a;%2A", false, "/a"));
}

static bool matches(const char *pattern, const char *path)
{
    return urlpath_matches((struct slice){unit_flush(pattern, strlen(pattern)), strlen(pattern)},
                           (struct slice){unit_flush(path, strlen(path)), strlen(path)});
}

static void test_patterns(void)
{
    EXPECT(matches("/*", "/") && matches("/*", "/a/b") && matches("*", "/"));
    EXPECT(matches("/a", "/a") && !matches("/a", "/a/") && !matches("/a", "/ab") && !matches("/a", "/A"));
    EXPECT(matches("/a/*", "/a/") && !matches("/a/*", "/a") && !matches("/a/*", "/ab/c"));
    EXPECT(matches("/*.git/*", "/x.git/info") && !matches("/*.git/*", "/xgit/info"));
    EXPECT(matches("/a*b*c", "/axxbyyc") && matches("/a*b*c", "/abbcbc") && !matches("/a*b*c", "/axxbyy"));
    EXPECT(matches("/**", "/x") && !matches("/", "/x") && !matches("/x*y", "/x"));
}

int main(void)
{
    test_normal_form();
    test_refused();
    test_loose_form();
    test_patterns();
    return unit_done();
}
