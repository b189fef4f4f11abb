#!/usr/bin/env bash
# The entry point of every container on Kubernetes. Spark calls it with `driver` or `executor`; any other arguments are
# executed as a command.
set -euo pipefail

# Only tests set another directory.
mounted=${SHOPSTREAM_MOUNTED_SECRETS:-/etc/shopstream/secrets}

# Copy the secrets, since Kubernetes makes a Secret's files readable for the group and libpq ignores such password files.
if [ -d "$mounted" ]; then
    install -d -m 0700 "${SHOPSTREAM_SECRETS:?must be the directory for the secrets}"
    for file in "$mounted"/*; do
        install -m 0600 "$file" "$SHOPSTREAM_SECRETS/"
    done
fi

case ${1:-} in
driver)
    shift
    # Name the directory after the pod: the job records its working directory, which tells Airflow which pod to end.
    directory=${SHOPSTREAM_HOME:?must be the state directory}/work/$(hostname)
    mkdir -p "$directory"
    cd "$directory"
    exec "$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
        --deploy-mode client "$@"
    ;;
executor)
    # Spark numbers the options: SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, …
    options=()
    for ((number = 0; ; number++)); do
        name=SPARK_JAVA_OPT_$number
        [ -n "${!name+is set}" ] || break
        options+=("${!name}")
    done
    exec "$JAVA_HOME/bin/java" "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
        -cp "${SPARK_CONF_DIR:-}:${SPARK_CLASSPATH:-}:$SPARK_HOME/jars/*" \
        org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
        --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
        --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
        --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
*)
    exec "$@"
    ;;
esac
