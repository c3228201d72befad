/* What is done on the host before a command: `VERB words… [VERB words…] -- command args…`. */
#ifndef PREPARE_H
#define PREPARE_H

/* Does it and becomes the command. Answers only where something went wrong, an exit code, told on stderr. */
int prepare(char **words);

#endif
