# The commands of the README, their helpers and CI's.
EXTRA_DIST += %D%/lib/pg-cluster.sh
