/* SPDX-License-Identifier: Apache-2.0 */
/* call-cxx DELAY_MS COUNT: waits, then calls geometry::Shape::area(int) COUNT times. */
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace geometry
{
struct Shape {
	int side;
	__attribute__((noinline, noclone)) int area(int scale) const;
};

int Shape::area(int scale) const
{
	return side * side * scale;
}
} // namespace geometry

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	usleep(static_cast<useconds_t>(std::atoi(argv[1])) * 1000);
	volatile int sum = 0;
	geometry::Shape shape{3};
	for (int i = 0; i < std::atoi(argv[2]); i++)
		sum = sum + shape.area(i);
	std::printf("{\"pid\":%d}\n", getpid());
	return 0;
}
