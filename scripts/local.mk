# The commands of the README, their helpers, and CI's.
EXTRA_DIST += \
	%D%/demo \
	%D%/setup \
	%D%/test \
	%D%/lib/build.sh \
	%D%/lib/check-aarch64.sh \
	%D%/lib/check.sh \
	%D%/lib/pg-cluster.sh
