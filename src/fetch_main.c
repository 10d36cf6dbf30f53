#include "fetch/args.h"

int main(int argc, char **argv)
{
    return fetch_main(argc, argv);
}
