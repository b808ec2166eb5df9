/* parleyd - the daemon. */
#include <stdio.h>

int main(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  printf("parleyd " PARLEY_VERSION "\n");
  return 0;
}
