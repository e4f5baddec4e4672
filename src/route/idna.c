#include "route/idna.h"

#include "mail/address.h"

#include <idn2.h>

static bool copy_lower(struct str name, char ret_name[IDNA_NAME_MAX])
{
	if (name.len >= IDNA_NAME_MAX || !domain_valid(name, false)) return false;
	for (size_t i = 0; i < name.len; i++) ret_name[i] = ascii_lower(name.ptr[i]);
	ret_name[name.len] = '\0';
	return true;
}

bool idna_to_ascii(struct str domain, char ret_name[IDNA_NAME_MAX])
{
	if (domain.len && domain.ptr[domain.len - 1] == '.') domain.len--;
	if (idna_is_ascii(domain)) return copy_lower(domain, ret_name);

	char text[4 * IDNA_NAME_MAX], *ascii = NULL;
	if (domain.len >= sizeof(text) || str_find(domain, '\0') < domain.len) return false;
	memcpy(text, domain.ptr, domain.len);
	text[domain.len] = '\0';
	/* Upper case and full-width forms are mapped (UTS 46), as browsers do; "ß" stays what
	 * it is.  */
	int error = idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	bool ok = error == IDN2_OK && copy_lower(str_from_c(ascii), ret_name);
	idn2_free(ascii);
	return ok;
}
