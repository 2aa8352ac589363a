"""One page that can be forwarded: the verdict, then the numbers, figures and checks that it rests on."""
