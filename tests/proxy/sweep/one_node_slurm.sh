#!/bin/bash
# A Slurm of one node on this machine: one_node_slurm.sh start|stop FOLDER. Run as root; the folder's path must be short.
# Everything that it writes lies in the folder; commands of Slurm find it by SLURM_CONF=FOLDER/slurm.conf.
set -eu
action=$1 folder=$2 port=${SLURM_TEST_PORT:-16817}

start() {
  mkdir -p "$folder"/{munge,state,spool,log}
  chmod 755 "$folder"
  chmod 700 "$folder/munge"
  dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
  chmod 600 "$folder/munge/key"
  munged --force --key-file="$folder/munge/key" --socket="$folder/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
  host=$(hostname -s)
  cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2
ReturnToService=2
KillWait=10
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/state/slurmctld.pid
SlurmdPidFile=$folder/spool/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -c
  slurmd
  for _ in $(seq 60); do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then return; fi
    sleep 1
  done
  tail -n 5 "$folder"/log/* >&2
  return 1
}

stop() {
  for file in spool/slurmd.pid state/slurmctld.pid munge/pid; do
    if [ -f "$folder/$file" ]; then kill "$(cat "$folder/$file")" 2>/dev/null || true; fi
  done
}

"$action"
