# Manual pages, made from the public headers: "make docs", and as part of all and install.
EXTRA_DIST += %D%/make-man
MAN_STAMP = docs/man/stamp

docs: $(MAN_STAMP)
.PHONY: docs

# The date is SOURCE_DATE_EPOCH's where that is set, so that builds can be reproduced.
$(MAN_STAMP): $(asyncnetinclude_HEADERS) $(srcdir)/docs/make-man
	$(AM_V_GEN)rm -rf docs/man && $(MKDIR_P) docs/man && \
	headers= && for h in $(asyncnetinclude_HEADERS); do \
		test -f $$h || h=$(srcdir)/$$h; headers="$$headers $$h"; done && \
	$(AWK) -f $(srcdir)/docs/make-man -v out=docs/man -v version='$(VERSION)' \
		-v date="`date -u -d @$${SOURCE_DATE_EPOCH:-$$(date +%s)} +%Y-%m-%d`" \
		$$headers && \
	if test -n '$(MANDOC)'; then \
		$(MANDOC) -Tlint -W warning `grep -L '^\.so' docs/man/*.3`; \
	fi && touch $@

all-local: $(MAN_STAMP)

install-data-local: $(MAN_STAMP)
	$(MKDIR_P) '$(DESTDIR)$(mandir)/man3'
	$(INSTALL_DATA) docs/man/*.3 '$(DESTDIR)$(mandir)/man3'

uninstall-local:
	for page in docs/man/*.3; do \
		rm -f "$(DESTDIR)$(mandir)/man3/$${page##*/}"; done

clean-local:
	rm -rf docs/man
