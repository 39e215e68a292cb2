#!/bin/sh
# Starts AWS's DynamoDB Local in memory on a port of 127.0.0.1 and stays in the foreground. Needs Java 17 and Maven; what
# it fetches stays in target/. Then, elsewhere:
#
#   KCL_TEST_DYNAMODB_ENDPOINT=http://127.0.0.1:PORT cargo test -p integration-tests --test dynamodb_store
set -eu
port=${1:?usage: run.sh PORT}
cd "$(dirname "$0")"
[ -d target/lib ] || mvn -q -B package
cd target/lib
exec java -Djava.library.path=. -cp '*' com.amazonaws.services.dynamodbv2.local.main.ServerRunner \
  -inMemory -sharedDb -disableTelemetry -port "$port"
