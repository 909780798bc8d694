// Everything a client program needs.
#pragma once

#include "millrace/admin.h"
#include "millrace/client.h"
#include "millrace/error.h"
#include "millrace/event.h"
#include "millrace/options.h"
#include "millrace/producer.h"
#include "millrace/reader.h"
#include "millrace/where.h"
