/* SPDX-License-Identifier: BSD-3-Clause */
/* tolerant TASKS MILLISECONDS: a program made for --chain-tolerate-loss. Rank 0 hands out numbered
 * tasks, each of so much computing, and prints which rank did each; what a rank does not answer in
 * time is given to another one, and that rank is given up. With nobody left it does them itself.
 * Exit status 0 when every task is done. docs/losing_peers.md says which rules it follows. */
#define _POSIX_C_SOURCE 200809L
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { kTasksMax = 100000, kRanksMax = 256, kTag = 1 };
enum { kStop = -1, kHello = -2 };

static const double kAnswerWithinSeconds = 2.0; /* more than a task takes */
static const double kHelloWithinSeconds = 10.0;
static const double kOrphanAfterSeconds = 15.0; /* without a word of rank 0 */

static double compute(int milliseconds) {
    volatile double value = 1.0;
    const double until = MPI_Wtime() + milliseconds / 1000.0;
    while (MPI_Wtime() < until)
        for (int i = 0; i < 1000; ++i) value = value * 1.0000001 + 0.5;
    return value;
}

static void sleep_a_little(void) {
    const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
}

struct worker {
    int given_up; /* until it says a word again */
    int task; /* that it has; kStop: none */
    double since;
    int inbox;
    MPI_Request incoming;
    int outbox; /* must live until it is sent, and to a lost rank it never is */
    MPI_Request outgoing;
    MPI_Request farewell;
};

static struct worker workers[kRanksMax];
static unsigned char is_done[kTasksMax];
static unsigned char is_out[kTasksMax];

/* Never waits: MPI_Send to a lost rank may never return. */
static void say(struct worker *worker, int rank, int word) {
    worker->outbox = word;
    MPI_Isend(&worker->outbox, 1, MPI_INT, rank, kTag, MPI_COMM_WORLD, &worker->outgoing);
}

static void listen_to(struct worker *worker, int rank) {
    MPI_Irecv(&worker->inbox, 1, MPI_INT, rank, kTag, MPI_COMM_WORLD, &worker->incoming);
}

static int next_task(int tasks) {
    for (int task = 0; task < tasks; ++task)
        if (!is_done[task] && !is_out[task]) return task;
    return kStop;
}

static int finish_task(int task, int rank) {
    is_out[task] = 0;
    if (is_done[task]) return 0; /* by another one, after a time-out */
    is_done[task] = 1;
    printf("task %d by rank %d\n", task, rank);
    fflush(stdout);
    return 1;
}

static void give_up(struct worker *worker, int rank) {
    printf("rank %d does not answer\n", rank);
    fflush(stdout);
    worker->given_up = 1;
    if (worker->task >= 0) is_out[worker->task] = 0;
    worker->task = kStop;
}

/* The tasks that it finished in this step. */
static int serve(struct worker *worker, int rank, int tasks) {
    int came = 0, sent = 0, finished = 0;
    MPI_Test(&worker->incoming, &came, MPI_STATUS_IGNORE);
    if (came) {
        if (worker->inbox >= 0) finished = finish_task(worker->inbox, rank);
        worker->task = kStop;
        worker->given_up = 0;
        listen_to(worker, rank);
    } else if (worker->task != kStop && MPI_Wtime() > worker->since + kAnswerWithinSeconds) {
        give_up(worker, rank);
        return 0;
    }
    MPI_Test(&worker->outgoing, &sent, MPI_STATUS_IGNORE);
    const int task = worker->given_up ? kStop : next_task(tasks);
    if (worker->task != kStop || !sent || task == kStop) return finished;
    worker->task = task;
    worker->since = MPI_Wtime();
    is_out[task] = 1;
    say(worker, rank, task);
    return finished;
}

static int hand_out(int ranks, int tasks, int milliseconds) {
    int done = 0;
    for (int rank = 1; rank < ranks; ++rank) {
        workers[rank].task = kHello; /* all say one word first */
        workers[rank].since = MPI_Wtime() + kHelloWithinSeconds - kAnswerWithinSeconds;
        workers[rank].outgoing = MPI_REQUEST_NULL;
        listen_to(&workers[rank], rank);
    }
    while (done < tasks) {
        int left = 0;
        for (int rank = 1; rank < ranks; ++rank) {
            done += serve(&workers[rank], rank, tasks);
            left += !workers[rank].given_up;
        }
        const int task = left == 0 ? next_task(tasks) : kStop;
        if (task != kStop) {
            compute(milliseconds);
            done += finish_task(task, 0);
        }
        sleep_a_little();
    }
    return done;
}

/* Whoever is still there leaves; nobody waits for those who are not. */
static void send_home(int ranks) {
    static const int stop = kStop;
    for (int rank = 1; rank < ranks; ++rank)
        MPI_Isend(&stop, 1, MPI_INT, rank, kTag, MPI_COMM_WORLD, &workers[rank].farewell);
    const double until = MPI_Wtime() + kAnswerWithinSeconds;
    int waiting = 1;
    while (waiting && MPI_Wtime() < until) {
        waiting = 0;
        for (int rank = 1; rank < ranks; ++rank) {
            int sent = 0;
            MPI_Test(&workers[rank].farewell, &sent, MPI_STATUS_IGNORE);
            waiting += !sent;
        }
        sleep_a_little();
    }
}

/* One word out, one in. 0: rank 0 is gone. */
static int ask(int *word) {
    int answer = kStop, sent = 0, came = 0;
    MPI_Request requests[2];
    MPI_Irecv(&answer, 1, MPI_INT, 0, kTag, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(word, 1, MPI_INT, 0, kTag, MPI_COMM_WORLD, &requests[1]);
    const double until = MPI_Wtime() + kOrphanAfterSeconds;
    while (!sent || !came) {
        if (!came) MPI_Test(&requests[0], &came, MPI_STATUS_IGNORE);
        if (!sent) MPI_Test(&requests[1], &sent, MPI_STATUS_IGNORE);
        if (MPI_Wtime() > until) return 0;
        if (!sent || !came) sleep_a_little();
    }
    *word = answer;
    return 1;
}

static int work(int milliseconds) {
    static int word = kHello;
    while (ask(&word)) {
        if (word == kStop) return 0;
        compute(milliseconds);
    }
    MPI_Abort(MPI_COMM_WORLD, 4); /* the program of rank 0 only: without it there is no job */
    return 4;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* of a connection to a rank that is gone */
    MPI_Init(&argc, &argv);
    const int tasks = argc > 1 ? atoi(argv[1]) : 100;
    const int milliseconds = argc > 2 ? atoi(argv[2]) : 20;
    int rank, ranks, rc = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (tasks < 1 || tasks > kTasksMax || ranks > kRanksMax) MPI_Abort(MPI_COMM_WORLD, 2);
    if (rank == 0) {
        const int done = hand_out(ranks, tasks, milliseconds);
        printf("tolerant: %d ranks, %d tasks\n", ranks, done);
        fflush(stdout);
        send_home(ranks);
    } else {
        rc = work(milliseconds);
    }
    MPI_Finalize(); /* with async_mpi_finalize, which --chain-tolerate-loss sets: waits for nobody */
    return rc;
}
