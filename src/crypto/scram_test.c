#include "base/code.h"
#include "base/test.h"
#include "crypto/scram.h"

#include <stdio.h>

/* An exchange as an RFC prints it.  */
struct vector {
	bool sha1;
	const char *nonce, *first, *server_first, *final, *server_final;
};

static const struct vector vectors[] = {
	/* RFC 5802 5 */
	{true, "fyko+d2lbbFgONRv9qkxdawL", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
		"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
	/* RFC 7677 3 */
	{false, "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static void begin(struct scram *s, const struct vector *v, struct buf *out)
{
	const char *why = "";
	buf_init(out, 10000);
	scram_init(s, v->sha1, SCRAM_UNBOUND, STR_NONE, (const uint8_t[SCRAM_NONCE]){0});
	buf_clear(&s->nonce);
	buf_add(&s->nonce, str_from_c(v->nonce));
	assert_true(scram_first(s, STR("user"), out, &why));
	assert_str(buf_str(out), v->first);
	buf_clear(out);
}

static void end(struct scram *s, struct buf *out)
{
	scram_clear(s);
	buf_release(out);
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct scram s;
		struct buf out;
		const char *why = "";
		begin(&s, v, &out);
		assert_true(
			scram_final(&s, str_from_c(v->server_first), STR("pencil"), &out, &why));
		assert_str(buf_str(&out), v->final);
		assert_false(s.verified);
		assert_true(scram_verify(&s, str_from_c(v->server_final), &why));
		assert_true(s.verified);
		end(&s, &out);
	}
}

static void final_fails(const char *challenge, const char *words)
{
	struct scram s;
	struct buf out;
	const char *why = "";
	begin(&s, &vectors[1], &out);
	assert_false(scram_final(&s, str_from_c(challenge), STR("pencil"), &out, &why));
	if (!strstr(why, words)) fail_msg("%s: \"%s\", not \"%s\"", challenge, why, words);
	end(&s, &out);
}

#define OURS "rOprNGfwEbeRWgbNEkqO"

static void test_challenges_refused(void **state)
{
	(void)state;
	static const char *const senseless[] = {"", "r", "r=", "r=" OURS "x",
		"r=" OURS "x,s=QQ==", "m=ext,r=" OURS "x,s=QQ==,i=4096",
		"s=QQ==,r=" OURS "x,i=4096", "e=other-error"};
	for (size_t i = 0; i < ARRAY_LEN(senseless); i++)
		final_fails(senseless[i], "makes no sense");
	final_fails("r=" OURS ",s=QQ==,i=4096", "not an answer to ours");
	final_fails("r=other,s=QQ==,i=4096", "not an answer to ours");
	final_fails("r=" OURS "x,s=QQ==,i=4095", "fewer than 4096");
	final_fails("r=" OURS "x,s=QQ==,i=-4096", "fewer than 4096");
	final_fails("r=" OURS "x,s=QQ==,i=99999999999", "fewer than 4096");
	final_fails("r=" OURS "x,s=QQ==,i=1000001", "more than 1000000");
	final_fails("r=" OURS "x,s=Q,i=4096", "cannot be worked on");
}

static void test_a_server_that_does_not_know_the_password(void **state)
{
	(void)state;
	static const char *const last[] = {"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
		"v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "", "e=invalid-proof",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A=="};
	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		struct scram s;
		struct buf out;
		const char *why = "";
		begin(&s, &vectors[1], &out);
		assert_true(scram_final(
			&s, str_from_c(vectors[1].server_first), STR("pencil"), &out, &why));
		assert_false(scram_verify(&s, str_from_c(last[i]), &why));
		assert_false(s.verified);
		assert_true(*why);
		end(&s, &out);
	}
}

static void test_names_are_escaped_and_headers_differ(void **state)
{
	(void)state;
	static const char *const headers[] = {[SCRAM_UNBOUND] = "n,,",
		[SCRAM_NOT_OFFERED] = "y,,",
		[SCRAM_BOUND] = "p=tls-exporter,,"};
	for (int i = SCRAM_UNBOUND; i <= SCRAM_BOUND; i++) {
		struct scram s;
		struct buf out;
		const char *why = "";
		char wanted[100];
		buf_init(&out, 1000);
		scram_init(&s, false, (enum scram_binding)i,
			STR("01234567890123456789012345678901"), (const uint8_t[SCRAM_NONCE]){0});
		assert_true(scram_first(&s, STR("a=b,c"), &out, &why));
		snprintf(wanted, sizeof wanted, "%sn=a=3Db=2Cc,r=AAAAAAAAAAAAAAAAAAAAAAAA",
			headers[i]);
		assert_str(buf_str(&out), wanted);
		end(&s, &out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_challenges_refused),
		cmocka_unit_test(test_a_server_that_does_not_know_the_password),
		cmocka_unit_test(test_names_are_escaped_and_headers_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
