/* parley - the command line. */
#include <stdio.h>

int main(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  printf("parley " PARLEY_VERSION "\n");
  return 0;
}
