#include "crypto/pem.h"

BIO *pem_bio(struct str text) { return BIO_new_mem_buf(text.ptr ? text.ptr : "", (int)text.len); }

int pem_no_passphrase(char *to, int size, int writing, void *context)
{
	(void)to, (void)size, (void)writing, (void)context;
	return 0;
}

bool pem_add_bio(struct buf *out, BIO *bio)
{
	char *octets = NULL;
	long len = BIO_get_mem_data(bio, &octets);
	return len > 0 && buf_add(out, str_of(octets, (size_t)len));
}

bool pem_add_key(struct buf *out, EVP_PKEY *pair)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	bool fine = bio && PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL) &&
		pem_add_bio(out, bio);
	BIO_free(bio);
	return fine;
}

bool pem_time(const ASN1_TIME *time, msec *ret_wall)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days, seconds;
	bool known = epoch && ASN1_TIME_diff(&days, &seconds, epoch, time);
	if (known) *ret_wall = (days * INT64_C(86400) + seconds) * 1000;
	ASN1_TIME_free(epoch);
	return known;
}
